"""How passes change a graph: readers rewired, layouts carried along, work moved ahead, channels and integers resized."""
