//! Lists that come in pages.

use crate::failure::Result;

/// The most that one answer holds.
const PAGE: u32 = 200;

/// Asks for page after page until there are `limit` rows, or no more. `page` is told how many rows it may bring and where it
/// begins, and says where the next one does: nowhere when that is the default.
pub(super) async fn up_to<T, C: Default + PartialEq + Clone>(
    limit: u32,
    mut page: impl AsyncFnMut(u32, C) -> Result<(Vec<T>, C)>,
) -> Result<(Vec<T>, C)> {
    let (mut rows, mut next, mut missing) = (Vec::new(), C::default(), limit);
    while missing > 0 {
        let (more, after) = page(missing.min(PAGE), next).await?;
        missing = missing.saturating_sub(u32::try_from(more.len()).unwrap_or(u32::MAX));
        rows.extend(more);
        next = after;
        if next == C::default() {
            break;
        }
    }
    Ok((rows, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is brought of a list of so many rows, where the next page begins, and how often was asked.
    async fn brought(limit: u32, all: u32) -> (u32, u32, u32) {
        let mut asked = 0;
        let page = async |most: u32, from: u32| {
            asked += 1;
            let end = all.min(from + most);
            Ok(((from..end).collect(), if end < all { end } else { 0 }))
        };
        let (rows, next) = up_to(limit, page).await.unwrap();
        assert!(rows.iter().copied().eq(0..limit.min(all)));
        (u32::try_from(rows.len()).unwrap(), next, asked)
    }

    #[tokio::test]
    async fn as_many_pages_as_it_takes_and_no_more() {
        assert_eq!(brought(50, 20).await, (20, 0, 1));
        assert_eq!(brought(50, 300).await, (50, 50, 1));
        assert_eq!(brought(450, 1000).await, (450, 450, 3));
        assert_eq!(brought(450, 400).await, (400, 0, 2));
        assert_eq!(brought(10, 0).await, (0, 0, 1));
    }
}
