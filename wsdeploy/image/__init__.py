"""Container images of releases: the same bits as on hosts, for whatever runs images."""
