"""Numbers of known devices, one TOML file each."""
