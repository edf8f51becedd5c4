"""Tools that the contracts share: crashes, calls at once, and storages compared with each other."""
