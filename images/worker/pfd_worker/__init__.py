"""The data plane: one attempt at a stage of a job, in its pod.

To be read in this order:

1. __main__ and run: one attempt, from its spec to its commit. stage_context: what a stage gets and gives.
2. stages: a module each; stage_files: what they hand on to one another. label_pod: label with an engine's own image.
3. preparation, rounds and acceptance: the parts of prepare, train and accept.
4. selection: which frames are worth a label. label_desk, label_files and labelers: how one is made, and by whom.
5. md, models and training: what computes. evaluation: how good it is.
6. store: all that outlives a pod. report and export: what people read and take away.
"""
