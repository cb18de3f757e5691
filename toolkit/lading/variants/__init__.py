"""Cross-packaging: one project, and for every firmware the variant of guest and models that works there."""
