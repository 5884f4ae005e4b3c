"""Maps: one YAML file for each known layout of a table of others (see `ftax_model.importer`)."""
