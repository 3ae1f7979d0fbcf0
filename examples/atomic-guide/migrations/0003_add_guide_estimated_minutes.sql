-- Expand only: the version that still runs during the deployment inserts guides without this column.
ALTER TABLE guides ADD COLUMN estimated_minutes INTEGER NOT NULL DEFAULT 0;
