"""How anything is shown: charts, tables, pages, the terminal."""
