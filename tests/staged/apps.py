from django.apps import AppConfig


class StagedConfig(AppConfig):
    name = "tests.staged"

    def ready(self) -> None:
        import tests.staged.jobs  # noqa: F401
