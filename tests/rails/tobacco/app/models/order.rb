class Order < ApplicationRecord
  scope :open, -> { where(shipped_at: nil) }

  validates :customer, presence: true
  validates :grams, numericality: { only_integer: true, greater_than: 0 }
end
