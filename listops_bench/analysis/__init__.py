"""What a model learned: representation, reliance, memorisation and dynamics of checkpoints.

    embedding     vectors of the numbers: principal axes, order, residue classes, waves, each against its controls
    probe         the same questions asked of single residual states, in held-out contexts and of held-out numbers
    anatomy       where attention and feed-forward layers of each family write, and where the residual stream is read
    reliance      how much they write, and what is lost without them
    memorisation  the operation tables: which facts a model knows, seen and held out
    study         a checkpoint folder in, all of these out; dynamics over the saved steps
    comparison    checkpoints side by side, seeds together
    report        the only module that draws: a page, figures, JSON

The analyses take arrays (or a model and rows) and return frozen dataclasses, so they serve in a notebook as they do
here.
"""
