"""What replays records: dialogues, differences, order, answers, failures. It sends nothing."""
