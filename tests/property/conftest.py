"""Generated examples may take as long as a busy machine needs: no test of this folder is about time."""

from hypothesis import HealthCheck, settings

settings.register_profile("tannoy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tannoy")
