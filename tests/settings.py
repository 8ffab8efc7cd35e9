"""The portal's settings on a home of the test run's own, with quick passwords and no collected
static files.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# The first process of a run makes the home; its workers and children find it named in the
# environment.
if "APPORTION_TEST_HOME" not in os.environ:
    home = Path(tempfile.mkdtemp(prefix="apportion-tests-"))
    home.chmod(0o755)  # as root, the servers run as another account, which must get in
    os.environ["APPORTION_TEST_HOME"] = str(home)
    os.environ["APPORTION_TEST_CONTROLLER"] = str(os.getpid())
for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "CELERY_BROKER_URL", "SECRET_KEY"):
    os.environ.pop(name, None)
# Whole portals are many processes: none compiles what another has compiled, even where a machine
# asks for no bytecode.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(sys.prefix) / "bytecode"))
os.environ["APPORTION_HOME"] = os.environ["APPORTION_TEST_HOME"]

from portal.settings import *  # noqa: E402, F403
from portal.settings import DATABASES, STORAGES  # noqa: E402

# Set by conftest.py once this worker has its database, for the processes that a test starts.
if "APPORTION_TEST_DATABASE" in os.environ:
    for alias in DATABASES:
        DATABASES[alias]["NAME"] = os.environ["APPORTION_TEST_DATABASE"]
    CELERY_BROKER_URL = os.environ["APPORTION_TEST_BROKER"]

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = True
