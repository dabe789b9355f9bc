"""Parts of the prepare stage: start structures, given data, the model; each checked before anything is paid for."""
