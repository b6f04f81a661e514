"""One kind of profile file each: `marks` recognises it by content, `parse` turns its bytes into a Found."""
