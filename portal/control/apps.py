from django.apps import AppConfig
from django.db.models.signals import post_migrate


class ControlConfig(AppConfig):
    name = "portal.control"
    label = "control"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        import portal.celery  # noqa: F401 - shared tasks belong to the application that was made last
        from portal.control.grants import grant_to_application

        post_migrate.connect(grant_to_application, sender=self, dispatch_uid="grant_to_application")
