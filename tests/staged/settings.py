"""The portal's own settings and the application of staged jobs."""

from portal.settings import *  # noqa: F403
from portal.settings import INSTALLED_APPS, JOB_PACKAGES

INSTALLED_APPS.append("tests.staged")
JOB_PACKAGES.append("tests.staged")
