"""The projection: one read model of all journals, and the feed that viewers follow."""
