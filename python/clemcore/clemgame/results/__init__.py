"""From played episodes to findings: scores of any results are found here, and become the tables of a benchmark."""
