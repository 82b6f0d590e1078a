"""The rehearsal of releases under load: what docs/operations/releases.md says, done and accounted for."""
