"""Makes those files of the Helm chart that other files already say: see `make chart`."""
