"""A hash by which images that look alike are found.

pHash (Zauner, 2010, Implementation and Benchmarking of Perceptual Image Hash Functions): the
lowest 8 x 8 frequencies of the image at 32 x 32 grey pixels, each above their median or not.
"""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

BITS = 64


def perceptual_hash(image: "Image.Image") -> NDArray[np.bool_]:
    """The hash ``[64]``, half of whose bits are set.

    >>> from PIL import Image
    >>> image = Image.effect_mandelbrot((256, 256), (-2, -1.5, 1, 1.5), 50)
    >>> int((perceptual_hash(image) != perceptual_hash(image.resize((100, 100)))).sum()) <= 2
    True
    """
    from PIL import Image
    from scipy.fft import dctn

    small = image.convert("L").resize((32, 32), Image.Resampling.LANCZOS)
    low = dctn(np.asarray(small, dtype=np.float64))[:8, :8]
    return np.asarray((low > np.median(low)).ravel())
