"""Projects: folders with a ``lading.toml`` that says what an app is made of."""

from lading.project.load import PROJECT_FILE, Project, load_project

__all__ = ["PROJECT_FILE", "Project", "load_project"]
