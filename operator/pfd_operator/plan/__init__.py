"""Decide what to do next: pure functions from what is known to the next status, actions and Events.

To be read in this order:

1. loop: the whole decision, level by level; draft, observed and types: what it is made of.
2. lifecycle: what the user asks for. budget: what may be spent.
3. attempts: one at a stage. stages and planned: what it computes, and the Job it asks for.
4. follow: what came of it. jobs and failures: how it ended. retry: what follows from that.
5. recipe: what a workflow declares. finetune and distill: the two there are. rounds: what they share.
6. outcome and measured: what a stage found, into the status. convergence and kept_model: whether it is good enough.
7. restart and redone: iterations done again.
8. queueing, stuck, outdated, tidy, spec_change, progressing, cautions: one thing each that is looked at beside.
"""
