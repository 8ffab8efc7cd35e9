"""What the built-in rules call bill lines as providers word them: AI scope, and phase."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from allocation.rules.conditions import Facts
from allocation.rules.rule_sets import default_rules_text
from allocation.rules.rules import RuleError, Rules, parse_rules

AI = {"service_category": "AI and Machine Learning"}
ML = {"sub_account_name": "ml-platform"}  # an account that says what it is for


@cache
def rules() -> Rules:
    return parse_rules(default_rules_text())


def labels(columns: dict[str, Any]) -> tuple[str, str | None]:
    """Scope and phase, as a split key takes them."""
    facts = Facts({"charge_category": "Usage", **columns})
    scope = rules().scope_of(facts)
    return scope, None if scope == "other" else rules().phase_of(facts)


def aws(service: str, meter: str, description: str = "", **more: Any) -> dict[str, Any]:
    return {
        "provider_name": "AWS",
        "service_name": service,
        "sku_meter": meter,
        "charge_description": description or meter,
        **more,
    }


def azure(service: str, meter: str, **more: Any) -> dict[str, Any]:
    return {"provider_name": "Microsoft", "service_name": service, "sku_meter": meter, **more}


def google(service: str, sku: str, **more: Any) -> dict[str, Any]:
    return {
        "provider_name": "Google Cloud",
        "service_name": service,
        "charge_description": sku,
        **more,
    }


def oracle(service: str, sku: str, **more: Any) -> dict[str, Any]:
    return {
        "provider_name": "Oracle",
        "service_name": service,
        "charge_description": sku,
        **more,
    }


def databricks(sku: str, **more: Any) -> dict[str, Any]:
    return {"provider_name": "Databricks", "service_name": "Databricks", "sku_id": sku, **more}


def snowflake(service: str, description: str = "", **more: Any) -> dict[str, Any]:
    return {
        "provider_name": "Snowflake",
        "service_name": service,
        "charge_description": description,
        **more,
    }


SAGEMAKER, S3, EC2 = "Amazon SageMaker", "Amazon Simple Storage Service", "Amazon EC2"
TOKENS = {"consumed_unit": "1K tokens"}
AMAZON: list[tuple[dict[str, Any], str, str | None]] = [
    (aws(SAGEMAKER, "USE1-Train:ml.p4d.24xlarge"), "ai", "build"),
    (aws(SAGEMAKER, "USW2-TrainDDP:ml.p3.2xlarge", "$3.825 per Training ml.p3.2xlarge hour"),
     "ai", "build"),
    (aws(SAGEMAKER, "USE1-Notebk:ml.t3.medium"), "ai", "build"),
    (aws(SAGEMAKER, "USE1-Studio:KernelGateway-ml.t3.medium"), "ai", "build"),
    (aws(SAGEMAKER, "EUC1-Processing:ml.m5.xlarge"), "ai", "build"),
    (aws(SAGEMAKER, "USE1-Studio-DW:KernelGateway-ml.m5.4xlarge", "Data Wrangler hours"),
     "ai", "build"),
    (aws(SAGEMAKER, "USE1-Host:ml.g5.xlarge", "$1.41 per Hosting ml.g5.xlarge hour"), "ai", "run"),
    (aws(SAGEMAKER, "USE1-Tsform:ml.m5.large"), "ai", "run"),
    (aws(SAGEMAKER, "USE1-ServerlessInf:Mem-4GB"), "ai", "run"),
    (aws(SAGEMAKER, "USE1-Host:VolumeUsage.gp2", "$0.14 per GB-Mo of Endpoint ML storage"),
     "ai", "move"),
    (aws("Amazon Bedrock", "USE1-TitanTextG1-Lite-Customization-Training"), "ai", "build"),
    (aws("Amazon Bedrock", "USE1-Nova-Lite-customization-training-tokens", **TOKENS),
     "ai", "build"),
    (aws("Amazon Bedrock", "USE1-Customization-Storage", "Custom model storage per month"),
     "ai", "move"),
    (aws("Amazon Bedrock", "USE1-Claude4Sonnet-input-tokens", **TOKENS), "ai", "run"),
    (aws("Amazon OpenSearch Service", "USE1-SearchOCU", "OpenSearch Serverless vector search OCU"),
     "ai_supporting", "run"),
    (aws("Amazon OpenSearch Service", "USE1-ESInstance:r6g.large"), "other", None),
    (aws("Amazon S3 Vectors", "USE1-Vectors-TimedStorage-ByteHrs"), "ai_supporting", "move"),
    (aws("Amazon Relational Database Service", "InstanceUsage:db.r6g.xl",
         resource_name="pgvector-docs"), "ai_supporting", "run"),
    (aws("Amazon Relational Database Service", "InstanceUsage:db.r6g.xl"), "other", None),
    (aws(S3, "USE1-TimedStorage-ByteHrs", service_category="Storage",
         resource_name="llm-training-sets"), "ai_supporting", "move"),
    (aws(S3, "USE1-TimedStorage-ByteHrs", tags={"workload": "RAG"}), "ai_supporting", "move"),
    (aws(S3, "USE1-TimedStorage-ByteHrs", service_category="Storage"), "other", None),
    (aws("AWS Data Transfer", "USE1-DataTransfer-Out-Bytes", **ML), "ai_supporting", "move"),
    (aws("Amazon Virtual Private Cloud", "USE1-NatGateway-Bytes", service_category="Networking",
         **ML), "ai_supporting", "move"),
    (aws("AWS Data Transfer", "USE1-DataTransfer-Out-Bytes"), "other", None),
    (aws("Amazon EKS", "USE1-AmazonEKS-Hours:perCluster", resource_name="inference-eu"),
     "ai_supporting", "run"),
    (aws("AWS Step Functions", "USE1-StateTransition", resource_name="rag-ingest"),
     "ai_supporting", "run"),
    (aws("AWS Glue", "USE1-ETL-DPU-Hour", **ML), "ai_supporting", "build"),
    (aws(EC2, "BoxUsage:p5.48xlarge", resource_name="train-p5-01"), "ai", "build"),
    (aws(EC2, "BoxUsage:p5.48xlarge", tags={"feature": "ranker-retrain"}), "ai", "build"),
    (aws(EC2, "BoxUsage:g6.12xlarge", resource_name="embed-g6-01"), "ai", "run"),
    (aws(EC2, "BoxUsage:m6i.2xlarge", resource_name="train-timetable"), "other", None),
    (aws("Pinecone Vector Database", "Serverless-ReadUnits"), "ai_supporting", "run"),
    (aws("Pinecone Vector Database", "Serverless-Storage GB hours"), "ai_supporting", "move"),
]  # fmt: skip
MICROSOFT: list[tuple[dict[str, Any], str, str | None]] = [
    (azure("Azure OpenAI", "gpt-4o-mini-FTuned Training Unit"), "ai", "build"),
    (azure("Azure OpenAI", "gpt 4o 0806-FT-Trng glbl Tokens", consumed_unit="1K"), "ai", "build"),
    (azure("Azure OpenAI", "gpt-4o-mini-FT Inp glbl Tokens", consumed_unit="1K tokens"),
     "ai", "run"),
    (azure("Azure OpenAI", "gpt-35-turbo-FTuned Deployment Hosting Unit"), "ai", "run"),
    (azure("Azure Machine Learning", "NC24ads A100 v4", resource_type="training job"),
     "ai", "build"),
    (azure("Azure Machine Learning", "D4s v3", resource_name="online-endpoint-7"), "ai", "run"),
    (azure("Azure Machine Learning", "D4s v3 compute instance", resource_name="notebook-kim"),
     "ai", "build"),
    (azure("Azure Cognitive Search", "Standard S1 Unit"), "ai_supporting", "run"),
    (azure("Azure AI Search", "Standard S2 Unit", **AI), "ai_supporting", "run"),
    (azure("Storage", "Hot LRS Data Stored", resource_name="ml-datasets"), "ai_supporting", "move"),
    (azure("Storage", "Hot LRS Data Stored", service_category="Storage"), "other", None),
    (azure("Bandwidth", "Standard Data Transfer Out", **ML), "ai_supporting", "move"),
    (azure("Azure Data Factory v2", "Cloud Data Movement", **ML), "ai_supporting", "build"),
    (azure("Azure Kubernetes Service", "Standard Uptime SLA", resource_name="gpu-pool"),
     "ai_supporting", "run"),
    (azure("Azure Database for PostgreSQL", "vCore", resource_name="pgvector"),
     "ai_supporting", "run"),
]  # fmt: skip
GOOGLE: list[tuple[dict[str, Any], str, str | None]] = [
    (google("Vertex AI", "Vertex AI: Training/Pipelines on N1 standard in Iowa"), "ai", "build"),
    (google("Vertex AI", "Custom Training A2 core running in Americas"), "ai", "build"),
    (google("Vertex AI", "Gemini 2.5 Flash Supervised Tuning"), "ai", "build"),
    (google("Vertex AI", "Vertex AI: Online/Batch Prediction N1 Predefined Core"), "ai", "run"),
    (google("Vertex AI", "Gemini 2.5 Flash Text Input - Predictions",
            consumed_unit="1M tokens"), "ai", "run"),
    (google("Notebooks", "Vertex AI Workbench management fee", **AI), "ai", "build"),
    (google("Vertex AI", "Vertex Vector Search index serving e2-standard-16"),
     "ai_supporting", "run"),
    (google("Cloud Storage", "Standard Storage Europe Multi-region", **ML), "ai_supporting",
     "move"),
    (google("Cloud Storage", "Download Worldwide Destinations", resource_name="embedding-store"),
     "ai_supporting", "move"),
    (google("Cloud Storage", "Standard Storage Europe Multi-region"), "other", None),
    (google("Cloud Composer", "Cloud Composer vCPU time", **ML), "ai_supporting", "run"),
    (google("Kubernetes Engine", "Regional Kubernetes Clusters", resource_name="llm-serving"),
     "ai_supporting", "run"),
    (google("Compute Engine", "Nvidia H100 GPU attached to Spot VMs"), "ai", "run"),
]  # fmt: skip
ORACLE: list[tuple[dict[str, Any], str, str | None]] = [
    (
        oracle("GENERATIVE_AI", "Oracle Cloud Infrastructure Generative AI - Large Cohere"),
        "ai",
        "run",
    ),
    (
        oracle("GENERATIVE_AI", "OCI Generative AI - Dedicated AI Cluster - Fine-Tuning"),
        "ai",
        "build",
    ),
    (oracle("GENERATIVE_AI", "OCI Generative AI - Vector Store Retrieval"), "ai_supporting", "run"),
    (oracle("DATA_SCIENCE", "Data Science - Notebook - E4"), "ai", "build"),
    (
        oracle("Oracle Cloud Infrastructure Data Science", "Model Deployment - VM.Standard"),
        "ai",
        "run",
    ),
    (oracle("COMPUTE", "Compute - GPU - A10", resource_name="finetune-a10"), "ai", "build"),
    (oracle("OBJECT_STORAGE", "Object Storage - Storage", **ML), "ai_supporting", "move"),
    (oracle("NETWORK", "Outbound Data Transfer", **ML), "ai_supporting", "move"),
    (oracle("OBJECT_STORAGE", "Object Storage - Storage"), "other", None),
]
DATABRICKS: list[tuple[dict[str, Any], str, str | None]] = [
    (databricks("PREMIUM_SERVERLESS_REAL_TIME_INFERENCE_COMPUTE_US_EAST"), "ai", "run"),
    (databricks("ENTERPRISE_ANTHROPIC_MODEL_SERVING"), "ai", "run"),
    (databricks("PREMIUM_MODEL_TRAINING_US_EAST_N_VIRGINIA"), "ai", "build"),
    (databricks("PREMIUM_FOUNDATION_MODEL_TRAINING"), "ai", "build"),
    (databricks("PREMIUM_VECTOR_SEARCH_ENDPOINT"), "ai_supporting", "run"),
    (databricks("PREMIUM_ALL_PURPOSE_COMPUTE", **ML), "ai_supporting", "build"),
    (databricks("PREMIUM_ALL_PURPOSE_COMPUTE"), "other", None),
    (databricks("PREMIUM_DATABRICKS_STORAGE", tags={"project": "genai-search"}),
     "ai_supporting", "move"),
]  # fmt: skip
SNOWFLAKE: list[tuple[dict[str, Any], str, str | None]] = [
    (snowflake("AI_SERVICES", "Cortex COMPLETE claude-sonnet-4-5"), "ai", "run"),
    (snowflake("Cortex Analyst"), "ai", "run"),
    (snowflake("CORTEX_FINE_TUNING", "Cortex Fine-tuning mistral-7b"), "ai", "build"),
    (snowflake("CORTEX_SEARCH_SERVING"), "ai_supporting", "run"),
    (snowflake("Snowflake", "WAREHOUSE_METERING", resource_name="RAG_INGEST"),
     "ai_supporting", "run"),
    (snowflake("Snowflake", "WAREHOUSE_METERING"), "other", None),
    (snowflake("Snowflake", "DATA_TRANSFER", **ML), "ai_supporting", "move"),
    (snowflake("SNOWPARK_CONTAINER_SERVICES", "GPU_NV_S compute pool"), "ai", "run"),
]  # fmt: skip
OWN_APIS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"provider_name": "OpenAI", "charge_description": "gpt-4o-mini fine-tuning, training tokens",
      "consumed_unit": "tokens"}, "ai", "build"),
    ({"provider_name": "OpenAI", "charge_description": "ft:gpt-4o-mini, input",
      "consumed_unit": "tokens"}, "ai", "run"),
    ({"provider_name": "OpenAI", "charge_description": "File search storage"}, "ai", "move"),
    ({"provider_name": "Google", "service_name": "Gemini API",
      "charge_description": "Gemini 2.5 Pro context cache storage",
      "consumed_unit": "1M tokens"}, "ai", "run"),
    ({"provider_name": "Cerebras", "charge_description": "gpt-oss-120b, output tokens",
      "consumed_unit": "tokens"}, "ai", "run"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("columns", "scope", "phase"),
    [*AMAZON, *MICROSOFT, *GOOGLE, *ORACLE, *DATABRICKS, *SNOWFLAKE, *OWN_APIS],
)
def test_lines_as_providers_word_them(
    columns: dict[str, Any], scope: str, phase: str | None
) -> None:
    assert labels(columns) == (scope, phase)


@pytest.mark.parametrize("phase", ["build", "run", "move"])
def test_a_tag_says_it_before_any_wording(phase: str) -> None:
    line = aws(SAGEMAKER, "USE1-Train:ml.p4d.24xlarge", tags={"Phase": phase.title()})

    assert labels(line) == ("ai", phase)


def test_every_ai_line_has_a_phase() -> None:
    assert labels(aws("Amazon SageMaker", "something nobody has read yet")) == ("ai", "run")


def test_a_phase_is_one_of_three() -> None:
    with pytest.raises(RuleError, match=r"phase 1 \(p\): phase is one of build, run, move"):
        parse_rules("{rules: [], phase: [{name: p, phase: training}]}")
