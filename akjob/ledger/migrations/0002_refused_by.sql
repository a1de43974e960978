-- The commit that was checked out when the refused version was first seen, and whether the file differed from it.
ALTER TABLE jobs ADD COLUMN refused_commit TEXT;
ALTER TABLE jobs ADD COLUMN refused_dirty INTEGER;
