from django.apps import AppConfig


class StagedConfig(AppConfig):
    name = "tests.staged"
