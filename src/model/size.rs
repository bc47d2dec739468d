//! The size of a terminal.

use std::num::NonZeroU16;

/// The size of a terminal in character cells: from 1x1 to [`Size::MAX`] in each direction.
///
/// The default is 80x24, which a legacy viewer gets because it never sends a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    cols: NonZeroU16,
    rows: NonZeroU16,
}

/// A size that is zero or above [`Size::MAX`] in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("terminal size {cols}x{rows} is not within 1x1 and {max}x{max}", max = Size::MAX)]
#[non_exhaustive]
pub struct InvalidSize {
    /// The requested columns.
    pub cols: u16,
    /// The requested rows.
    pub rows: u16,
}

impl Size {
    /// The most columns or rows: a screen model's memory grows with their product.
    pub const MAX: u16 = 1000;

    /// Returns a size of `cols` columns and `rows` rows.
    ///
    /// # Errors
    /// [`InvalidSize`] when either is 0 or above [`Size::MAX`].
    pub fn new(cols: u16, rows: u16) -> Result<Self, InvalidSize> {
        match (NonZeroU16::new(cols), NonZeroU16::new(rows)) {
            (Some(c), Some(r)) if cols <= Self::MAX && rows <= Self::MAX => Ok(Self { cols: c, rows: r }),
            _ => Err(InvalidSize { cols, rows }),
        }
    }

    /// Columns.
    #[must_use]
    pub fn cols(self) -> u16 {
        self.cols.get()
    }

    /// Rows.
    #[must_use]
    pub fn rows(self) -> u16 {
        self.rows.get()
    }
}

impl Default for Size {
    fn default() -> Self {
        const COLS: NonZeroU16 = NonZeroU16::new(80).unwrap();
        const ROWS: NonZeroU16 = NonZeroU16::new(24).unwrap();
        Self { cols: COLS, rows: ROWS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_outside_bounds_is_rejected() {
        assert_eq!(Size::default(), Size::new(80, 24).unwrap());
        assert!(Size::new(1, Size::MAX).is_ok());
        assert!(Size::new(0, 24).is_err());
        assert!(Size::new(80, 0).is_err());
        assert_eq!(
            Size::new(Size::MAX + 1, 24).unwrap_err().to_string(),
            "terminal size 1001x24 is not within 1x1 and 1000x1000"
        );
    }
}
