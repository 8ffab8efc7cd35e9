"""The portal's own settings and the application of staged jobs."""

from portal.settings import *  # noqa: F403
from portal.settings import INSTALLED_APPS

INSTALLED_APPS.append("tests.staged")
