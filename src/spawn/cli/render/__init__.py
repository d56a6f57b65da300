"""All that is printed. stdout is data, stderr is talk; on a terminal for people, in a pipe for programs."""
