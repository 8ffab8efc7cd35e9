"""Django settings. The environment is read here and nowhere else; docs/settings.md lists every
name.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from portal import env
from portal.embedded import places as layout

BASE_DIR = Path(__file__).resolve().parent.parent

# ---------------------------------------------------------------- where things run

APPORTION_HOME = Path(env.text("APPORTION_HOME", str(BASE_DIR / "var"))).absolute()
DATABASE_URL = env.text("DATABASE_URL")
DATABASE_OWNER_URL = env.text("DATABASE_OWNER_URL")
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL")

# Embedded servers stand in for each real one that is not named (portal/embedded).
EMBEDDED = layout.HomePaths(home=APPORTION_HOME)
EMBEDDED_POSTGRES = not DATABASE_URL
EMBEDDED_REDIS = not CELERY_BROKER_URL


def database(url: str) -> dict[str, object]:
    """One Django database from a `postgresql://user:password@host:port/name?option=value`."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres"):
        raise ImproperlyConfigured(
            "DATABASE_URL and DATABASE_OWNER_URL must start with postgresql://"
        )
    options: dict[str, object] = dict(parse_qsl(parts.query))
    host = options.pop("host", None) or unquote(parts.hostname or "")
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": options,
    }


# "default" is the application's role, which owns nothing; "owner" migrates and makes partitions.
if EMBEDDED_POSTGRES:
    DATABASES = {
        "default": database(EMBEDDED.database_url("apportion_app")),
        "owner": database(EMBEDDED.database_url("apportion_owner")),
    }
    SECRET_KEY = env.text("SECRET_KEY") or EMBEDDED.secret_key()
else:
    DATABASES = {
        "default": database(DATABASE_URL),
        "owner": database(DATABASE_OWNER_URL or DATABASE_URL),
    }
    SECRET_KEY = env.text("SECRET_KEY")
    if not SECRET_KEY:
        raise ImproperlyConfigured(
            "SECRET_KEY must be set when DATABASE_URL is: 50 random characters, kept secret"
        )

CELERY_BROKER_URL = CELERY_BROKER_URL or EMBEDDED.broker_url()

# ---------------------------------------------------------------- security

DEBUG = env.boolean("DEBUG", False)
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("CSRF_TRUSTED_ORIGINS")
SECURE_COOKIES = env.boolean("SECURE_COOKIES", False)  # set where the portal is served over HTTPS
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_COOKIES
SESSION_COOKIE_HTTPONLY = True
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = env.integer("SECURE_HSTS_SECONDS", 0)
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF, NONCE],
        "style-src": [SELF, NONCE],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# ---------------------------------------------------------------- applications

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "rest_framework",
    "drf_spectacular",
    "django_celery_beat",
    "django_htmx",
    "csp",
    "allocation",
    "portal",
    "portal.accounts",
    "portal.jobs",
    "portal.reviews",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "portal.accounts.headers.security_headers",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates", BASE_DIR / "portal" / "pages"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "csp.context_processors.nonce",
            ],
        },
    }
]

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_ADAPTER = "portal.accounts.adapter.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username", "email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = None  # the reader chooses at sign-in
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes"]
MFA_TOTP_ISSUER = "Apportion"
MFA_ALLOW_UNVERIFIED_EMAIL = True  # accounts are made by an administrator, who knows the person
# Sign-in limits count in this cache, over all web processes. Addresses in X-Forwarded-For are
# believed from as many proxies as are named.
ALLAUTH_TRUSTED_PROXY_COUNT = env.integer("TRUSTED_PROXY_COUNT", 0)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "shared_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

EMAIL_BACKEND = "django.core.mail.backends.console.EmailBackend"

# ---------------------------------------------------------------- language, time, files

LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
USE_I18N = False

STATIC_URL = "/static/"
STATIC_ROOT = EMBEDDED.home / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "django.contrib.staticfiles.finders.AppDirectoriesFinder",
    "portal.static_finders.PackagedScriptFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
MEDIA_ROOT = EMBEDDED.home / "uploads"
FILE_UPLOAD_PERMISSIONS = 0o600

# ---------------------------------------------------------------- API

REST_FRAMEWORK = {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "portal.api.authentication.ApiKeyAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "COERCE_DECIMAL_TO_STRING": True,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Apportion API",
    "DESCRIPTION": (
        "AI cost showback and chargeback. Amounts are decimal strings, currencies ISO 4217."
    ),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}

# ---------------------------------------------------------------- jobs

CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # a worker waits for its broker as long as it takes
CELERY_BROKER_CONNECTION_TIMEOUT = 2
if "redis" in CELERY_BROKER_URL:
    CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 12 * 3600}
CELERY_BEAT_SCHEDULE = {
    "sweep": {"task": "portal.jobs.sweep", "schedule": 5.0, "options": {"expires": 5.0}},
}

WEB_WORKERS = env.integer("WEB_WORKERS", 2)
WORKER_PROCESSES = env.integer("WORKER_PROCESSES", 2)
JOB_LEASE_SECONDS = env.integer("JOB_LEASE_SECONDS", 30)
JOB_PACKAGES = [
    "portal"
]  # kinds of jobs are found in their modules `job_kinds` (portal/jobs/kinds.py)

# ---------------------------------------------------------------- limits and attribution

IMPORT_MAX_BYTES = env.integer("IMPORT_MAX_BYTES", 20 * 1024**3)  # after decompression
IMPORT_MAX_RATIO = env.integer("IMPORT_MAX_RATIO", 200)  # decompressed over compressed
OTLP_MAX_BYTES = env.integer("OTLP_MAX_BYTES", 64 * 1024**2)  # after decompression
USAGE_DISTINCT_VALUES = env.integer("USAGE_DISTINCT_VALUES", 10_000)  # of customers, callers ...
SPAN_RETENTION_DAYS = env.integer("SPAN_RETENTION_DAYS", 120)
SPAN_WINDOW_PAST_DAYS = env.integer("SPAN_WINDOW_PAST_DAYS", 400)
SPAN_WINDOW_FUTURE_HOURS = env.integer("SPAN_WINDOW_FUTURE_HOURS", 1)

# Attribute names looked up in order, on the span first, then on its resource.
ATTRIBUTE_TEAM = env.words(
    "ATTRIBUTE_TEAM",
    "team,app.team,cost.team,gen_ai.team,traceloop.association.properties.team,metadata.team,metadata.user_api_key_team_alias,litellm.team.alias",
)
ATTRIBUTE_FEATURE = env.words(
    "ATTRIBUTE_FEATURE",
    "feature,app.feature,gen_ai.feature,traceloop.association.properties.feature,metadata.feature,gen_ai.workflow.name,traceloop.workflow.name,gen_ai.agent.name,ai.telemetry.functionId",
)
ATTRIBUTE_PRODUCT = env.words(
    "ATTRIBUTE_PRODUCT", "product,app.product,service.namespace,metadata.product"
)
ATTRIBUTE_ENVIRONMENT = env.words(
    "ATTRIBUTE_ENVIRONMENT",
    "deployment.environment.name,deployment.environment,environment,vercel.ai_gateway.environment,env",
)
ATTRIBUTE_CUSTOMER = env.words(
    "ATTRIBUTE_CUSTOMER",
    "customer,app.customer,tenant,traceloop.association.properties.customer,metadata.customer,metadata.user_api_key_end_user_id,litellm.end_user.id",
)
ATTRIBUTE_PHASE = env.words("ATTRIBUTE_PHASE", "phase,app.phase,cost.phase,metadata.phase")
# Who asked, where an agent of another team serves the call: baggage that the entry sets and spans
# carry on.
ATTRIBUTE_ENTRY_TEAM = env.words(
    "ATTRIBUTE_ENTRY_TEAM", "entry.team,baggage.entry.team,metadata.entry_team"
)
ATTRIBUTE_ENTRY_FEATURE = env.words(
    "ATTRIBUTE_ENTRY_FEATURE", "entry.feature,baggage.entry.feature,metadata.entry_feature"
)
# A gateway's virtual key. Name the end user's attribute here, too, only where that may be kept.
ATTRIBUTE_CALLER = env.words(
    "ATTRIBUTE_CALLER",
    "gateway.virtual_key,litellm.key_alias,litellm.api_key.alias,metadata.user_api_key_alias,metadata.virtual_key,metadata.openrouter.api_key_name,vercel.ai_gateway.api_key.name,metadata.user_api_key_hash,litellm.api_key.hash",
)
ATTRIBUTE_SESSION = env.words(
    "ATTRIBUTE_SESSION",
    "gen_ai.conversation.id,session.id,langfuse.session.id,traceloop.association.properties.session_id,langsmith.trace.session_name,metadata.session_id",
)
ATTRIBUTE_PROJECT = env.words(
    "ATTRIBUTE_PROJECT",
    "gen_ai.project,cloud.account.id,openai.project,gcp.project.id,aws.account.id",
)
# Who made a call: an e-mail address before an account's id before a user's. Kept as a pseudonym,
# made with PERSON_KEY: with another key everybody is somebody else.
ATTRIBUTE_PERSON = env.words(
    "ATTRIBUTE_PERSON",
    "user.email,enduser.email,metadata.user_email,metadata.user_api_key_user_email,user.account_uuid,user.account_id,metadata.user_api_key_user_id,user.id,enduser.id,gen_ai.user.id,gen_ai.user,langfuse.user.id,metadata.user_id,metadata.userId,user_id,vercel.ai_gateway.user.id",
)
PERSON_KEY = env.text("PERSON_KEY") or f"persons {SECRET_KEY}"
# Keeps the names behind pseudonyms from then on, and shows them.
PERSON_NAMES = env.boolean("PERSON_NAMES", False)
ATTRIBUTE_REPOSITORY = env.words(
    "ATTRIBUTE_REPOSITORY",
    "repository,metadata.repository,vcs.repository.url.full,vcs.repository.name",
)
# More attribute names to keep with a span, beside the built-in ones; never name one that carries
# message content.
ATTRIBUTES_KEPT = env.words("ATTRIBUTES_KEPT")
# Share of its spans that a service sends where its SDK does not say so in the trace state:
# "chat-api=0.1,search=0.5".
SAMPLING_RATES = env.words("SAMPLING_RATES")

# ---------------------------------------------------------------- logs

LOG_LEVEL = env.text("LOG_LEVEL", "WARNING").upper()
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": LOG_LEVEL},
}
