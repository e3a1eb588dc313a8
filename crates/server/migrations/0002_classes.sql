-- JSON array of the viewer classes a stream admits. NULL: all.
ALTER TABLE streams ADD COLUMN classes TEXT;
