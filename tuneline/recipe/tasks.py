"""What an application's outputs are for, and what a judge scores of one; each score is 0 to 1."""

from typing import Literal, get_args

Task = Literal["summarization", "classification", "question-answering"]
TASKS: tuple[str, ...] = get_args(Task)
SCORES = ("coverage", "accuracy", "coherence", "informativeness", "overall")


def overall_score(scores: dict[str, float]) -> float:
    """The mean of the four, coverage and informativeness twice, and no higher than accuracy or coherence.

    So nothing buys back an invention or a sentence that is cut.
    """
    accuracy, coherence = scores["accuracy"], scores["coherence"]
    mean = (2 * scores["coverage"] + accuracy + coherence + 2 * scores["informativeness"]) / 6
    return round(min(mean, accuracy, coherence), 4)
