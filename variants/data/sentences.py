"""Forty-eight sentences in eight subjects: twenty-four to ask with and twenty-four to be found, three of each to a subject."""

from __future__ import annotations

SUBJECTS: dict[str, tuple[tuple[str, str, str], tuple[str, str, str]]] = {
    "weather": (
        ("It will rain all afternoon.", "The storm is moving north.", "Snow fell on the mountain pass."),
        (
            "Take an umbrella with you after lunch.",
            "Strong winds are expected further up the coast.",
            "The road over the hills is white and closed.",
        ),
    ),
    "cooking": (
        ("How long do I boil an egg?", "The bread needs another hour to rise.", "Add salt before the pasta goes in."),
        ("Six minutes give a soft yolk.", "Leave the dough in a warm place.", "Season the water well and keep it bubbling."),
    ),
    "medicine": (
        ("The patient has a high fever.", "She broke her arm in two places.", "Take one tablet after every meal."),
        (
            "His temperature rose above thirty-nine degrees.",
            "The fracture was set and put in plaster.",
            "The drug must not be swallowed on an empty stomach.",
        ),
    ),
    "computing": (
        ("The program crashes when the file is empty.", "Matrix products dominate the running time.", "Please restart the server."),
        ("An empty input makes the application fail.", "Most of the latency is spent in linear layers.", "The machine has to be rebooted."),
    ),
    "sport": (
        ("The goalkeeper saved a penalty.", "She ran the marathon in under three hours.", "Our team lost by two points."),
        (
            "He stopped the shot from the spot.",
            "It was her fastest long-distance race so far.",
            "We were beaten narrowly in the final quarter.",
        ),
    ),
    "money": (
        ("The bank raised its interest rates.", "I would like to return this jacket.", "Rents in the city keep going up."),
        ("Borrowing has become more expensive.", "Can I have a refund for these clothes?", "Living downtown costs more every year."),
    ),
    "travel": (
        ("The train to Vienna leaves at noon.", "My suitcase did not arrive.", "We walked along the old harbour."),
        ("Be on the platform before twelve o'clock.", "The airline has lost my luggage.", "The ships lay beside the historic quay."),
    ),
    "animals": (
        ("The cat sleeps on the windowsill.", "Wolves hunt in packs.", "Bees find their way back by the sun."),
        (
            "A kitten is napping in the light.",
            "Predators work together to bring down a deer.",
            "Insects navigate with the help of daylight.",
        ),
    ),
}

QUERIES = tuple(sentence for asked, _ in SUBJECTS.values() for sentence in asked)
ANSWERS = tuple(sentence for _, found in SUBJECTS.values() for sentence in found)
"""ANSWERS[i] is what QUERIES[i] should find first."""

CALIBRATION = (
    "The museum is closed on Mondays.",
    "He has played the violin since he was a child.",
    "The parliament voted against the new law.",
    "Water expands when it freezes.",
    "A tall tree fell across the path during the night.",
    "Could you send me the contract by Friday?",
    "The novel is about two sisters in a small village.",
    "Electric cars are cheap to run but dear to buy.",
    "The children painted the fence green.",
    "Light takes eight minutes from the sun to the earth.",
    "The meeting was moved to the large room upstairs.",
    "No one had expected the bridge to hold for so long, least of all the engineer who drew it.",
    "Why is the sky blue?",
    "The phone rang, but she did not answer.",
    "Copper conducts heat better than steel does.",
    "They sell fresh fish at the market every morning.",
)
"""To calibrate on: none of the others."""
