"""Tables of ``journal.sqlite``; every figure of a report can be recomputed from them."""

from __future__ import annotations

__all__ = ["MIGRATIONS", "SCHEMA", "VERSION"]

VERSION = 4

_GIVEN_UP = """
CREATE TABLE given_up (             -- candidates that could not be finished, where others can
    row INTEGER NOT NULL REFERENCES rows (n),
    candidate INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (row, candidate, attempt)
) WITHOUT ROWID;
"""

SCHEMA = f"""
CREATE TABLE meta (                 -- format version, identity of the run
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE rows (                 -- one row per prompt and sample
    n INTEGER PRIMARY KEY,          -- in the order in which they were first seen
    id TEXT NOT NULL,
    sample INTEGER NOT NULL,
    content BLOB NOT NULL,          -- hash of the messages: row identity is (id, content, sample)
    position INTEGER NOT NULL,      -- place in the prompts as they stand now
    wanted INTEGER NOT NULL,        -- whether the current command's prompts include it
    status TEXT NOT NULL DEFAULT 'pending',   -- pending | done | failed
    attempt INTEGER NOT NULL DEFAULT 0,
    messages TEXT NOT NULL,         -- JSON, the prompt
    columns TEXT NOT NULL,          -- JSON, the input row's own columns
    prepared TEXT,                  -- JSON, what SwitchPolicy.prepare made
    selected TEXT,                  -- JSON, what SwitchPolicy.select chose of several candidates
    line INTEGER,                   -- length << 32 | CRC-32 of its line, once that stands in the row's file
    UNIQUE (id, sample)
);
CREATE INDEX rows_by_status ON rows (status, wanted, position);

CREATE TABLE spans (                -- committed text in order; pieces of one turn share its number
    row INTEGER NOT NULL REFERENCES rows (n),
    candidate INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    author TEXT NOT NULL,
    phase TEXT NOT NULL,            -- think | answer
    kind TEXT,                      -- style | capability | NULL
    text TEXT NOT NULL,
    tokens INTEGER NOT NULL,
    exact INTEGER NOT NULL,
    ids BLOB,                       -- the author's own tokens, uint32 little-endian
    covered INTEGER NOT NULL,       -- characters of text that ids cover
    via TEXT,
    labels TEXT,                    -- JSON [[start, end, style, p], …], only for pieces of a long turn
    PRIMARY KEY (row, candidate, seq)
) WITHOUT ROWID;

CREATE TABLE turns (                -- finished turns, also those that kept nothing
    row INTEGER NOT NULL REFERENCES rows (n),
    candidate INTEGER NOT NULL,
    n INTEGER NOT NULL,
    role TEXT NOT NULL,
    phase TEXT NOT NULL,
    kept INTEGER NOT NULL,          -- characters
    drafted INTEGER NOT NULL,       -- characters
    tokens INTEGER NOT NULL,        -- kept ones, the writer's
    finish TEXT NOT NULL,
    cut INTEGER NOT NULL,
    note TEXT,                      -- JSON
    PRIMARY KEY (row, candidate, n)
) WITHOUT ROWID;

CREATE TABLE usage (                -- what the engines counted, by turn or by a policy's own request
    row INTEGER NOT NULL REFERENCES rows (n),
    candidate INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    role TEXT NOT NULL,
    purpose TEXT NOT NULL,          -- turn | draft | judge | reference | …
    prompt INTEGER NOT NULL,        -- context presented, cached tokens included
    cached INTEGER NOT NULL,
    generated INTEGER NOT NULL,     -- = kept + marks + discarded
    kept INTEGER NOT NULL,
    marks INTEGER NOT NULL,         -- tokens of the format's marks and of the end of turn
    discarded INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    estimated INTEGER NOT NULL DEFAULT 0   -- of the requests: the engine told no cost
);
CREATE INDEX usage_by_row ON usage (row);

CREATE TABLE failures (             -- every attempt that could not be finished
    row INTEGER NOT NULL REFERENCES rows (n),
    attempt INTEGER NOT NULL,
    reason TEXT NOT NULL,
    message TEXT NOT NULL,
    thinking TEXT NOT NULL,
    answer TEXT NOT NULL,
    turns INTEGER NOT NULL,
    PRIMARY KEY (row, attempt)
) WITHOUT ROWID;
{_GIVEN_UP}"""

MIGRATIONS = {
    1: f"ALTER TABLE rows ADD COLUMN selected TEXT;\n{_GIVEN_UP}",
    2: "ALTER TABLE usage ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;",
    3: "ALTER TABLE rows ADD COLUMN line INTEGER;",
}
"""What makes a journal of that version one of the next."""
