"""Reference methods: a labeler turns tasks into input files and output files into verdicts, or computes in process."""
