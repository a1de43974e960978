-- The secret by which nodes ask each other for the lines of runs: one row, made when it is needed first.
CREATE TABLE node_token (
    token TEXT NOT NULL
);
CREATE UNIQUE INDEX node_token_one ON node_token ((TRUE));
