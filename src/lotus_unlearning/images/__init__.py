"""Images as people have them, taken in: tensors where they fit in memory, a data set where not."""

from lotus_unlearning.images.sources import (
    Data,
    Images,
    ImageTensors,
    Official,
    StreamedImages,
    called,
    content_hashes,
)
from lotus_unlearning.images.taking import MEMORY_SHARE, as_images, memory_bytes

__all__ = [
    "MEMORY_SHARE",
    "Data",
    "ImageTensors",
    "Images",
    "Official",
    "StreamedImages",
    "as_images",
    "called",
    "content_hashes",
    "memory_bytes",
]
