from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    name = "portal"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from portal.grants import grant_to_application

        # Once for each run of `migrate`. This application has no models, so it sends no signal.
        sender = apps.get_app_config("accounts")
        post_migrate.connect(
            grant_to_application, sender=sender, dispatch_uid="grant_to_application"
        )
