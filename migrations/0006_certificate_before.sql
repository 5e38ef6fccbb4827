-- The certificate before the newest one: the answer to a renewal may be lost, and the agent then comes with the old one.

ALTER TABLE hosts ADD COLUMN previous_certificate_serial TEXT;
