"""Reading and writing files: readers that name the bad row, writers that leave the whole file or none."""
