-- What a stream's viewers may be to each other, and from how many of them on. NULL: as the configuration has it.
ALTER TABLE streams ADD COLUMN p2p TEXT;
ALTER TABLE streams ADD COLUMN viewers_min INTEGER;
