"""What tests of actors need: a virtual clock, a faulty disk, probes."""
