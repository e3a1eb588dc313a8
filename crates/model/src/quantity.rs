//! Which numbers may go into the model? Finite ones that are not negative, each of one unit.

/// Why a number, or several together, mean nothing to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Infinite, not a number, or negative.
    #[error("{0} must be a finite number, not negative")]
    NotANumber(&'static str),
    /// Zero, where that would divide by it.
    #[error("{0} must be more than zero")]
    Zero(&'static str),
    /// A share of something above all of it.
    #[error("{0} must be at most 1")]
    OverOne(&'static str),
    /// More than can be counted out in reasonable time and memory.
    #[error("{0} must be at most {1}")]
    TooMuch(&'static str, u64),
    /// A list of something that must have at least one of it.
    #[error("{0} must not be empty")]
    Empty(&'static str),
    /// Two that must stand in an order, and do not.
    #[error("{0} must be {1}")]
    Order(&'static str, &'static str),
}

impl InputError {
    /// The same, said of the `parameter` that the caller knows by name, such as a flag of a command.
    /// ```
    /// use trellis_model::Bps;
    /// let error = Bps::new(-1.0).map_err(|error| error.of("--rate")).unwrap_err();
    /// assert_eq!(error.to_string(), "--rate must be a finite number, not negative");
    /// ```
    #[must_use]
    pub fn of(self, parameter: &'static str) -> Self {
        match self {
            Self::NotANumber(_) => Self::NotANumber(parameter),
            Self::Zero(_) => Self::Zero(parameter),
            Self::OverOne(_) => Self::OverOne(parameter),
            Self::TooMuch(_, most) => Self::TooMuch(parameter, most),
            Self::Empty(_) => Self::Empty(parameter),
            Self::Order(_, rule) => Self::Order(parameter, rule),
        }
    }
}

/// A checked number of one unit.
macro_rules! quantity {
    ($type:ident, $what:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
        pub struct $type(f64);

        impl $type {
            #[doc = concat!("Checks it.\n```\nuse trellis_model::", stringify!($type), ";\n\
                assert_eq!(", stringify!($type), "::new(0.5).map(", stringify!($type), "::get), Ok(0.5));\n\
                assert!(", stringify!($type), "::new(-1.0).is_err() && ", stringify!($type), "::new(f64::NAN).is_err());\n```")]
            pub fn new(value: f64) -> Result<Self, InputError> {
                if value.is_finite() && value >= 0.0 { Ok(Self(value)) } else { Err(InputError::NotANumber($what)) }
            }

            #[doc = concat!("The number.\n```\nuse trellis_model::", stringify!($type), ";\n\
                assert_eq!(", stringify!($type), "::new(1.0)?.get(), 1.0);\n# Ok::<(), trellis_model::InputError>(())\n```")]
            pub fn get(self) -> f64 {
                self.0
            }

            /// The number, which must be more than zero, for `parameter` is divided by.
            pub(crate) fn positive(self, parameter: &'static str) -> Result<f64, InputError> {
                if self.0 > 0.0 { Ok(self.0) } else { Err(InputError::Zero(parameter)) }
            }
        }
    };
}

quantity!(Bps, "a bandwidth", "A bandwidth, bit/s.");
quantity!(PerSecond, "a frequency", "How often in a second.");
quantity!(Seconds, "a time", "A time, s.");
quantity!(Bits, "a size", "A size, bits.");

/// A part of a whole, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default)]
pub struct Share(f64);

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// Checks it.
    /// ```
    /// use trellis_model::Share;
    /// assert_eq!(Share::new(0.95).map(Share::get), Ok(0.95));
    /// assert!(Share::new(1.1).is_err() && Share::new(-0.1).is_err());
    /// ```
    pub fn new(value: f64) -> Result<Self, InputError> {
        match value {
            v if !v.is_finite() || v < 0.0 => Err(InputError::NotANumber("a share")),
            v if v > 1.0 => Err(InputError::OverOne("a share")),
            v => Ok(Self(v)),
        }
    }

    /// The number.
    /// ```
    /// assert_eq!(trellis_model::Share::new(1.0)?.get(), 1.0);
    /// # Ok::<(), trellis_model::InputError>(())
    /// ```
    pub fn get(self) -> f64 {
        self.0
    }
}
