-- Labels of hosts, in order. Runs can be aimed at one.

ALTER TABLE hosts ADD COLUMN labels TEXT[] NOT NULL DEFAULT '{}';
