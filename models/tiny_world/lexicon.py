"""The words of Tiny World: closed lists from which a seed draws its people, animals, places and things."""

from __future__ import annotations

WOMEN = (
    "Anna", "Clara", "Emma", "Grace", "Ida", "Kate", "Lucy", "Mia", "Nina", "Olga", "Rosa", "Ruth", "Tina", "Vera",
    "Wendy", "Zoe",
)  # fmt: skip
MEN = (
    "Adam", "Ben", "David", "Felix", "Henry", "Hugo", "Jack", "Leo", "Max", "Noah", "Oscar", "Paul", "Sam", "Theo",
    "Tom", "Victor",
)  # fmt: skip
PLACES = (
    "attic", "bakery", "barn", "castle", "cave", "cellar", "forest", "garden", "hall", "kitchen", "library", "market",
    "meadow", "mill", "orchard", "park", "school", "shed", "stable", "tower",
)  # fmt: skip
THINGS = (
    "ball", "basket", "bell", "book", "bottle", "candle", "coin", "cup", "doll", "drum", "flute", "hammer", "hat",
    "key", "kite", "lamp", "map", "rope", "shell", "spoon",
)  # fmt: skip
ANIMALS = (
    "bear", "cat", "cow", "crow", "dog", "donkey", "duck", "fox", "goat", "hen", "horse", "mouse", "owl", "pig",
    "rabbit", "sheep",
)  # fmt: skip
COLOURS = ("black", "blue", "brown", "green", "grey", "orange", "pink", "purple", "red", "white", "yellow")
MATERIALS = ("brass", "clay", "glass", "iron", "leather", "paper", "silver", "stone", "straw", "wood", "wool")
FOODS = (
    "apples", "beans", "bread", "carrots", "cheese", "corn", "fish", "grass", "honey", "nuts", "oats", "pears",
    "plums", "rice", "seeds", "soup",
)  # fmt: skip
JOBS = (
    "baker", "carpenter", "cook", "doctor", "farmer", "fisher", "gardener", "miller", "painter", "sailor", "shepherd",
    "singer", "smith", "tailor", "teacher", "weaver",
)  # fmt: skip
HOBBIES = (
    "chess", "climbing", "cooking", "dancing", "drawing", "fishing", "painting", "reading", "riding", "rowing",
    "running", "sewing", "singing", "skating", "swimming", "writing",
)  # fmt: skip
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
MOODS = ("angry", "brave", "happy", "hungry", "proud", "sad", "scared", "sleepy", "thirsty", "tired")
