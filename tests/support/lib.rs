//! What the journeys stand on.
