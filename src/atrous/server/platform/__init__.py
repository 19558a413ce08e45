"""The platform: projects, photos, labels, versions and trainings over HTTP."""
