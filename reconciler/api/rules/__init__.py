"""What upstream's webhooks, JobSet and the API server refuse beyond the schema, a module for each subject."""
