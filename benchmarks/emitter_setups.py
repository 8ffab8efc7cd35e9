"""Set-ups of real libraries for benchmarks/emitters.py: what is installed, what is switched on, and
which calls are made. Data: a set-up is added by a row.

Each program runs after PRELUDE in an environment that holds its packages alone. `provider` is the
tracer provider that its spans go to.
"""

from __future__ import annotations

from dataclasses import dataclass

PRELUDE = """
import asyncio, os
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
def processor():
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=os.environ["OTLP_TRACES"]))
provider = TracerProvider(resource=Resource.create({"service.name": os.environ["SETUP"]}))
provider.add_span_processor(processor())
trace.set_tracer_provider(provider)
HI = [{"role": "user", "content": "hi"}]
"""

OPENAI_CALLS = """
import openai
client = openai.OpenAI(max_retries=0)
client.chat.completions.create(model="gpt-4o", messages=HI)
for _ in client.chat.completions.create(
    model="gpt-4o", messages=HI, stream=True, stream_options={"include_usage": True}
):
    pass
client.responses.create(model="gpt-4o", input="hi")
client.embeddings.create(model="text-embedding-3-small", input=["a"])
async def go():
    await openai.AsyncOpenAI(max_retries=0).chat.completions.create(model="gpt-4o", messages=HI)
asyncio.run(go())
try:
    client.chat.completions.create(model="fail", messages=HI)
except openai.OpenAIError:
    pass
"""

ANTHROPIC_CALLS = """
import anthropic
client = anthropic.Anthropic(max_retries=0)
ask = {"model": "claude-sonnet-4-5-20250929", "max_tokens": 9, "messages": HI}
client.messages.create(**ask)
for _ in client.messages.create(stream=True, **ask):
    pass
with client.messages.stream(**ask) as stream:
    stream.get_final_message()
async def go():
    await anthropic.AsyncAnthropic(max_retries=0).messages.create(**ask)
asyncio.run(go())
"""

LANGCHAIN_CALLS = """
from langchain_openai import ChatOpenAI
from langchain_core.prompts import ChatPromptTemplate
model = ChatOpenAI(model="gpt-4o", max_retries=0)
model.invoke("hi")
list(ChatOpenAI(model="gpt-4o", max_retries=0, stream_usage=True).stream("hi"))
(ChatPromptTemplate.from_messages([("user", "{q}")]) | model).invoke({"q": "hi"})
with trace.get_tracer("app").start_as_current_span("GET /ask"):
    model.batch(["a", "b", "c"])
"""

AGENT = """
def get_weather(city: str) -> str:
    "The weather of a city."
    return "sunny"
"""

PYDANTIC_CALLS = (
    AGENT
    + """
from pydantic_ai import Agent
def ask(model):
    agent = Agent(model, name="weather", tools=[get_weather])
    agent.run_sync("weather?")
    async def stream():
        async with agent.run_stream("weather?") as answer:
            async for _ in answer.stream_text():
                pass
    asyncio.run(stream())
"""
)

OPENAI_AGENTS_CALLS = """
import agents
from agents import Agent, OpenAIResponsesModel, Runner, function_tool
import openai
@function_tool
def get_weather(city: str) -> str:
    "The weather of a city."
    return "sunny"
async def go():
    model = OpenAIResponsesModel("gpt-4o", openai.AsyncOpenAI(max_retries=0))
    await Runner.run(Agent(name="weather", tools=[get_weather], model=model), "weather?")
asyncio.run(go())
"""

LITELLM_CALLS = """
import litellm
litellm.completion(model="gpt-4o", messages=HI)
list(litellm.completion(model="gpt-4o", messages=HI, stream=True,
                        stream_options={"include_usage": True}))
litellm.completion(model="anthropic/claude-sonnet-4-5-20250929", messages=HI, max_tokens=9)
litellm.embedding(model="text-embedding-3-small", input=["a"])
async def go():
    await litellm.acompletion(model="gpt-4o", messages=HI)
    await asyncio.sleep(1)
asyncio.run(go())
import time
time.sleep(1.5)
"""

STRANDS_CALLS = """
from strands import Agent, tool
@tool
def get_weather(city: str) -> str:
    "The weather of a city."
    return "sunny"
str(Agent(model=model, tools=[get_weather], name="weather", callback_handler=None)("weather?"))
"""

AGNO_CALLS = (
    AGENT
    + """
from agno.agent import Agent
from agno.models.openai import OpenAIChat
model = OpenAIChat(id="gpt-4o", base_url=os.environ["OPENAI_BASE_URL"], api_key="x")
agent = Agent(name="weather", model=model, tools=[get_weather], telemetry=False)
agent.run("weather?")
for _ in agent.run("weather?", stream=True):
    pass
"""
)

GOOGLE_CALLS = """
from google import genai
client = genai.Client(api_key="x", http_options={"base_url": os.environ["FAKE"]})
client.models.generate_content(model="gemini-2.5-flash", contents="hi")
list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="hi"))
"""


def on(module: str, name: str, arguments: str = "") -> str:
    """Code that switches an instrumentation on."""
    return f"from {module} import {name}\n{name}().instrument({arguments})\n"


OI_OPENAI = on("openinference.instrumentation.openai", "OpenAIInstrumentor")
OI_ANTHROPIC = on("openinference.instrumentation.anthropic", "AnthropicInstrumentor")
OI_LANGCHAIN = on("openinference.instrumentation.langchain", "LangChainInstrumentor")
OI_LITELLM = on("openinference.instrumentation.litellm", "LiteLLMInstrumentor")
OI_AGNO = on("openinference.instrumentation.agno", "AgnoInstrumentor")
OI_GOOGLE = on("openinference.instrumentation.google_genai", "GoogleGenAIInstrumentor")
OI_AGENTS = "import agents\nagents.set_trace_processors([])\n" + on(
    "openinference.instrumentation.openai_agents", "OpenAIAgentsInstrumentor"
)
TL_OPENAI = on("opentelemetry.instrumentation.openai", "OpenAIInstrumentor")
TL_ANTHROPIC = on("opentelemetry.instrumentation.anthropic", "AnthropicInstrumentor")
TL_LANGCHAIN = on("opentelemetry.instrumentation.langchain", "LangchainInstrumentor")
OTEL_OPENAI = on("opentelemetry.instrumentation.genai.openai", "OpenAIInstrumentor")
OTEL_ANTHROPIC = on("opentelemetry.instrumentation.genai.anthropic", "AnthropicInstrumentor")
OTEL_GOOGLE = on("opentelemetry.instrumentation.google_genai", "GoogleGenAiSdkInstrumentor")
NEWEST = 'os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"\n'
LOGFIRE = (
    "import logfire\n"
    'logfire.configure(send_to_logfire=False, console=False, service_name=os.environ["SETUP"],'
    " additional_span_processors=[processor()])\n"
)
PYDANTIC = "from pydantic_ai import Agent\nAgent.instrument_all()\n"
LANGFUSE = (
    'os.environ.update(LANGFUSE_PUBLIC_KEY="pk", LANGFUSE_SECRET_KEY="sk",'
    ' LANGFUSE_HOST=os.environ["FAKE"])\n'
    "from langfuse import Langfuse\nLangfuse(tracer_provider=provider)\n"
)
OPENLIT = (
    'import openlit\nopenlit.init(application_name=os.environ["SETUP"], environment="prod",'
    ' otlp_endpoint=os.environ["FAKE"], disable_metrics=True)\n'
)
STRANDS_OPENAI = (
    "from strands.models.openai import OpenAIModel\n"
    'model = OpenAIModel(client_args={"max_retries": 0}, model_id="gpt-4o")\n'
)
STRANDS_ANTHROPIC = (
    "from strands.models.anthropic import AnthropicModel\n"
    'model = AnthropicModel(client_args={"max_retries": 0},'
    ' model_id="claude-sonnet-4-5-20250929", max_tokens=9)\n'
)
OPENAI_ON = "import logfire\nlogfire.instrument_openai()\n"
ANTHROPIC_ON = "import logfire\nlogfire.instrument_anthropic()\n"
IN_A_SPAN = 'trace.get_tracer("app").start_as_current_span("GET /ask").__enter__()\n'


@dataclass(frozen=True)
class Setup:
    """`environment` names the set of packages; its versions are pinned in ENVIRONMENTS."""

    name: str
    environment: str
    observers: str  # in words
    program: str


def setups() -> list[Setup]:
    """Every set-up, in the order of the table."""
    return [Setup(*row) for row in ROWS]


ROWS = [
    ("oi-openai", "base", "OpenInference for OpenAI", OI_OPENAI + OPENAI_CALLS),
    ("oi-anthropic", "base", "OpenInference for Anthropic", OI_ANTHROPIC + ANTHROPIC_CALLS),
    ("oi-langchain", "base", "OpenInference for LangChain", OI_LANGCHAIN + LANGCHAIN_CALLS),
    (
        "oi-langchain-openai",
        "base",
        "OpenInference for LangChain and OpenAI",
        OI_LANGCHAIN + OI_OPENAI + LANGCHAIN_CALLS,
    ),
    ("tl-openai", "base", "traceloop for OpenAI", TL_OPENAI + OPENAI_CALLS),
    ("tl-anthropic", "base", "traceloop for Anthropic", TL_ANTHROPIC + ANTHROPIC_CALLS),
    (
        "tl-anthropic-root",
        "base",
        "traceloop for Anthropic, in a span of the application",
        IN_A_SPAN + TL_ANTHROPIC + ANTHROPIC_CALLS,
    ),
    ("tl-langchain", "base", "traceloop for LangChain", TL_LANGCHAIN + LANGCHAIN_CALLS),
    (
        "tl-langchain-openai",
        "base",
        "traceloop for LangChain and OpenAI",
        TL_LANGCHAIN + TL_OPENAI + LANGCHAIN_CALLS,
    ),
    ("anthropic-alone", "base", "Anthropic's SDK on its own", ANTHROPIC_CALLS),
    (
        "oi-tl-openai",
        "base",
        "OpenInference and traceloop for OpenAI",
        OI_OPENAI + TL_OPENAI + OPENAI_CALLS,
    ),
    (
        "oi-tl-anthropic",
        "base",
        "OpenInference and traceloop for Anthropic",
        OI_ANTHROPIC + TL_ANTHROPIC + ANTHROPIC_CALLS,
    ),
    (
        "oi-tl-langchain",
        "base",
        "OpenInference for LangChain, traceloop for OpenAI",
        OI_LANGCHAIN + TL_OPENAI + LANGCHAIN_CALLS,
    ),
    ("otel-openai", "otel", "OpenTelemetry for OpenAI", OTEL_OPENAI + OPENAI_CALLS),
    (
        "otel-anthropic",
        "otel",
        "OpenTelemetry for Anthropic",
        OTEL_ANTHROPIC + ANTHROPIC_CALLS,
    ),
    (
        "otel-openai-newest",
        "otel",
        "OpenTelemetry for OpenAI, newest conventions",
        NEWEST + OTEL_OPENAI + OPENAI_CALLS,
    ),
    (
        "pydantic-openai",
        "pydantic",
        "pydantic-ai with OpenAI",
        PYDANTIC + PYDANTIC_CALLS + 'ask("openai-chat:gpt-4o")\n',
    ),
    (
        "pydantic-anthropic",
        "pydantic",
        "pydantic-ai with Anthropic",
        PYDANTIC + PYDANTIC_CALLS + 'ask("anthropic:claude-sonnet-4-5-20250929")\n',
    ),
    ("logfire-openai", "pydantic", "logfire for OpenAI", LOGFIRE + OPENAI_ON + OPENAI_CALLS),
    (
        "logfire-anthropic",
        "pydantic",
        "logfire for Anthropic",
        LOGFIRE + ANTHROPIC_ON + ANTHROPIC_CALLS,
    ),
    (
        "logfire-pydantic-openai",
        "pydantic",
        "logfire for pydantic-ai and OpenAI",
        LOGFIRE
        + OPENAI_ON
        + "logfire.instrument_pydantic_ai()\n"
        + PYDANTIC_CALLS
        + 'ask("openai-chat:gpt-4o")\n',
    ),
    (
        "litellm-otel",
        "litellm",
        "LiteLLM's callback otel",
        'import litellm\nos.environ["OTEL_EXPORTER"] = "in_memory"\n'
        'litellm.callbacks = ["otel"]\n' + LITELLM_CALLS,
    ),
    ("oi-litellm", "litellm", "OpenInference for LiteLLM", OI_LITELLM + LITELLM_CALLS),
    (
        "oi-litellm-openai",
        "litellm",
        "OpenInference for LiteLLM and OpenAI",
        OI_LITELLM + OI_OPENAI + LITELLM_CALLS,
    ),
    (
        "langfuse-openai",
        "langfuse",
        "Langfuse's OpenAI client",
        LANGFUSE
        + "import openai\nfrom langfuse.openai import AsyncOpenAI, OpenAI\n"
        + "openai.OpenAI, openai.AsyncOpenAI = OpenAI, AsyncOpenAI\n"
        + OPENAI_CALLS,
    ),
    ("oi-agents", "agents", "OpenInference for openai-agents", OI_AGENTS + OPENAI_AGENTS_CALLS),
    (
        "oi-agents-openai",
        "agents",
        "OpenInference for openai-agents and OpenAI",
        OI_AGENTS + OI_OPENAI + OPENAI_AGENTS_CALLS,
    ),
    ("openlit-openai", "openlit", "openlit with OpenAI", OPENLIT + OPENAI_CALLS),
    ("openlit-anthropic", "openlit", "openlit with Anthropic", OPENLIT + ANTHROPIC_CALLS),
    ("strands-openai", "strands", "strands with OpenAI", STRANDS_OPENAI + STRANDS_CALLS),
    ("strands-anthropic", "strands", "strands with Anthropic", STRANDS_ANTHROPIC + STRANDS_CALLS),
    ("oi-agno", "agno", "OpenInference for agno", OI_AGNO + AGNO_CALLS),
    (
        "oi-agno-openai",
        "agno",
        "OpenInference for agno and OpenAI",
        OI_AGNO + OI_OPENAI + AGNO_CALLS,
    ),
    ("oi-google", "google", "OpenInference for google-genai", OI_GOOGLE + GOOGLE_CALLS),
    ("otel-google", "google", "OpenTelemetry for google-genai", OTEL_GOOGLE + GOOGLE_CALLS),
]
