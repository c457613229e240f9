"""Deterministic simulation: whole runs on virtual time, broken in every way that one seed says.

Nothing of tessy is replaced but the clock, the thread that commits the journal, and what stands behind the
plugins' doors: scheduler, admission, writer, detection, journal (SQLite) and data set are the real ones. A
seed says all: prompts, policy, how tokens and chunks fall, which requests fail or hang, which rows are
poisoned, and at which instant the process dies. So a failing seed fails again:

    python -m tests.simulation --seed N

=============  =============================================================================
`world`        what a seed says
`script`       what the models would write, in any Unicode
`engine`       a backend and a detector that fail, hang and dawdle as the world says
`committer`    the journal's commits on virtual time, with an instant of death among them
`disk`         what stays of a process that dies
`life`         one process, from its start to its end or death
`invariants`   what must hold after each life, and in the end
`simulate`     one seed: a run left alone, then one that dies and goes on, compared
=============  =============================================================================
"""
